"""The training engine: Megatron-Core, on every device."""

import warnings

# Megatron-Core tells at every import which optional CUDA packages are absent, and uses names that torch deprecates;
# neither is anything that the user of a run can act on (`modelwright doctor` tells what a missing package would give).
warnings.filterwarnings("ignore", module=r"megatron\.|torch\.distributed\.checkpoint")
