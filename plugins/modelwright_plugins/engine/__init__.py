"""The training engine: Megatron-Core, on every device."""
