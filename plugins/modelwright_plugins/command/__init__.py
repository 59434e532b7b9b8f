"""Commands: the words of the command line. Their interface is `modelwright.component.Command`."""
