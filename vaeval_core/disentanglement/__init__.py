"""How far single latent dimensions stand for single factors of variation: scores of codes for which factors are known.

Arrays in, `MetricValue`s out: codes (n, k), usually posterior means, and factors (n, f), the class of each factor for each
image. `all_scores.score_disentanglement` gives every score at once.
"""
