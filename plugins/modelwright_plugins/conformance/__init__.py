"""What each kind's components promise, as tests: `modelwright.testing.assert_conforms` runs them. All of them run on the CPU."""
