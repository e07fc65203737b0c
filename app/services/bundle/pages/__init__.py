"""The pages of a bundle: for clerks and judges, in Chinese, to be read in any browser and printed on A4."""
