"""From person pictures to a part-based ReID engine. Needs the ``train`` extra; importing the package itself does not
import torch."""
