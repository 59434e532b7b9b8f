"""Names of what is logged beside the loss."""

PAIRS = ("rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins")
UNPAIRED = ("rewards/chosen", "rewards/rejected", "divergence")
RANKED = ("rankings/accuracies",)
REWARDED = ("rewards/accuracies", "rewards/margins", "rewards/mean")
STEPS = ("steps/accuracies", "rewards/mean")
