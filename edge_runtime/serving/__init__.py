"""The server behind ``edge-classify serve``: models over HTTP.

Every module but :mod:`.settings` and :mod:`.naming` needs the extra ``serve``.

- :mod:`.service` runs it all with :mod:`.reloading` and :mod:`.trimming`: signals, new models, memory;
- :mod:`.app` joins the routes with what guards them, :mod:`.problems` are its errors (RFC 9457);
- :mod:`.served` is one model with its thread, :mod:`.worker` that thread, :mod:`.jobs` what waits
  for it;
- :mod:`.body` and :mod:`.multipart` read requests within limits, :mod:`.wishes` what they ask for;
- :mod:`.classify` is ``/v1/classify``, :mod:`.facts` ``/v1/models``, :mod:`.open_inference` with
  :mod:`.tensors` the Open Inference Protocol v2, :mod:`.metrics` ``/metrics``, :mod:`.openapi` and
  :mod:`.docs_page` its description.
"""
