"""MJPEG over HTTP, read with the standard library alone.

- :mod:`.wire` is a connection whose every wait has an end;
- :mod:`.asking` asks for a URL: redirects, proxies, and with :mod:`.auth` user and password;
- :mod:`.body` undoes the transfer coding, :mod:`.parts` cuts what comes into whole pictures, and
  :mod:`.jpeg` knows where one ends.
"""
