"""Object stores by URL: `s3://`, `gs://`, `az://`; each needs the extra of its name."""
