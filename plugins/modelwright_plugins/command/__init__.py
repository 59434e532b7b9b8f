"""Commands: what the command line can do beside `run` and `resume`. Their interface is `modelwright.component.Command`."""
