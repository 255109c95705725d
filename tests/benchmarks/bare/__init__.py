"""The peer of the desk: the least a Django site can do for "submit" and "next item"."""
