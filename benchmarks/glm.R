# The contenders of glm.py in R: fit the model on CSV files, and write what was found as JSON.
#
#     Rscript benchmarks/glm.R bam FOLDER FIT.json
#
# Debian's r-base-core, r-cran-mgcv and r-cran-data.table suffice; they have no reader of Parquet.

suppressPackageStartupMessages(library(data.table))
given <- commandArgs(trailingOnly = TRUE)
setDTthreads(2)
rows <- rbindlist(lapply(sort(list.files(given[2], "[.]csv$", full.names = TRUE)), fread))
names <- grep("^x", colnames(rows), value = TRUE)
model <- as.formula(paste("claims ~ offset(log(exposure)) +", paste(names, collapse = " + ")))
if (given[1] == "bam") {
  suppressPackageStartupMessages(library(mgcv))
  fitted <- bam(model, family = poisson(), data = rows, nthreads = 2)
  version <- paste("mgcv", packageVersion("mgcv"))
} else {
  fitted <- glm(model, family = poisson(), data = rows, model = FALSE, y = FALSE)
  version <- paste("R", getRversion())
}
iterations <- fitted$iter
in_order <- c(names, "(Intercept)")
numbers <- function(values) paste(format(values[in_order], digits = 17), collapse = ", ")
cat(sprintf(
  '{"coefficients": [%s], "errors": [%s], "iterations": %d, "version": "%s"}',
  numbers(coef(fitted)), numbers(sqrt(diag(vcov(fitted)))), iterations, version
), file = given[3])
