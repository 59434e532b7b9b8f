"""The training engine: Megatron-Core, on every device."""

import sys
import warnings

from modelwright_plugins.engine.light_import import LightImport

# Megatron-Core tells at every import which optional CUDA packages are absent, and uses names that torch deprecates;
# neither is anything that the user of a run can act on (`modelwright doctor` tells what a missing package would give).
warnings.filterwarnings("ignore", module=r"megatron\.|torch\.distributed\.checkpoint")
if "megatron.core" not in sys.modules:
    sys.meta_path.insert(0, LightImport())
