"""How the base model of the quickstart was pretrained; not part of the installed package."""
