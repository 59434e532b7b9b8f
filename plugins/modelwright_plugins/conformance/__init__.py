"""What each kind's components promise, as tests: `modelwright.testing.assert_conforms` runs them.

They run on the CPU; kernels on a GPU if there is one.
"""
