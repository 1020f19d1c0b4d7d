"""Networks that turn images into features. `catalogue` names them, `base` says what each promises."""
