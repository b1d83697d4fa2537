"""Files of text that a person wrote: pipeline configs and what is wrong in them."""
