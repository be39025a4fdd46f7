"""What users of other programs write to classify photos; each a script that runs alone.

``python SCRIPT MODEL LABELS THREADS PHOTO...`` prints a JSON object a photo: ``label``, and ``done``, the
``time.perf_counter()`` at which its answer was there. Each reads, resizes and infers as its own
documentation shows it.
"""
