"""``--preview``: a stream in a browser.

- :mod:`.output` is told of results and events, encodes pictures, and owns the server;
- :mod:`.pictures` makes a JPEG of a result; :mod:`.facts` what the page says beside it;
- :mod:`.hub` hands both to everyone who looks; :mod:`.app` is what can be asked for over HTTP;
- ``page/`` is the page itself.
"""
