"""Object stores by URL: `s3://`, `gs://`, `az://`; needs one of the extras `s3`, `gs`, `az`."""
