"""Birds drawn by program, whose CUB attributes are exactly known, and bags, a second domain.

For a catalogue that can be shared freely and for training data of the same kind. Not a source
of facts about real birds: the plumages are made up.
"""

from finetag_model.drawn.bag import Bag, sample_bag
from finetag_model.drawn.bird import Bird, Coat
from finetag_model.drawn.catalogue import write_catalogue
from finetag_model.drawn.draw import Drawing, draw_bird, draw_layers
from finetag_model.drawn.draw_bag import draw_bag
from finetag_model.drawn.sample import sample_bird

__all__ = [
    "Bag",
    "Bird",
    "Coat",
    "Drawing",
    "draw_bag",
    "draw_bird",
    "draw_layers",
    "sample_bag",
    "sample_bird",
    "write_catalogue",
]
