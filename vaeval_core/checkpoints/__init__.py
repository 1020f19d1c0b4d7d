"""The only readers of model files. `base` says what a VAE is to vaeval, one file per format opens it."""
