"""A whole third-party plugin, used by the core's tests: two kinds, a few components, stages with and without ranks."""

from modelwright.hooks import hookimpl


@hookimpl
def modelwright_register(registry):
    registry.add_kind("shape", "toy_plugin.parts:Shape", default="circle")
    registry.add_kind("color", "toy_plugin.parts:Color", many=True)
    registry.add("shape", "circle", "toy_plugin.parts:Circle")
    registry.add("shape", "square", "toy_plugin.parts:Square")
    registry.add("color", "red", "toy_plugin.parts:Red")
    registry.add("color", "blue", "toy_plugin.parts:Blue")
    registry.add("stage", "draw", "toy_plugin.stages:Draw")
    registry.add("stage", "paint", "toy_plugin.stages:Paint")
    registry.add("stage", "learn", "toy_plugin.stages:Learn")


@hookimpl
def modelwright_conf():
    return "pkg://toy_plugin.conf"
