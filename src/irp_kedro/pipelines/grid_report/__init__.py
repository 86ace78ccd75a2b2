"""Tables and figures over the finished cells of a grid."""
