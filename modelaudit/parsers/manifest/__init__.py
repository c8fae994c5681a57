"""Configuration files of any syntax as one kind of tree: what is written there, never what it would make.

`text` tells which syntax the bytes have; `json`, `yaml`, `toml`, `ini` and `markup` read one syntax each into a
`tree.Document`. Nothing is constructed, expanded or resolved: a tag stays a tag and an alias stays an alias.
"""
