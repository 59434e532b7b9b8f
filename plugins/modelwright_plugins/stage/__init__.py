"""Stages: the steps of a recipe. Their interface is `modelwright.component.Stage`."""
