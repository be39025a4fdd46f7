"""The parts of the augmentation: random numbers, and the changes one by one.

Each change draws its parameters on the host with numpy, and applies them to a batch with
``keras.ops``, as a pure function; :class:`trainer.augmentation.augment.Augmentation` puts them together.
"""
