"""Starts simple-tensorflow-serving, a server of the package index:  python start_stfs.py THREADED [ITS ARGUMENTS …]

Its own ``main`` loads the models with the first request, and its ``--reload_models`` does nothing in release 0.8.2 and
several before it: it looks for a platform of "tensorflow", and the models have "TensorFlow". So this loads them first,
and calls the method that looks for new versions, which that option is there to call. Nothing of it is changed, but
that its sessions run one operation at a time. Run by ``servers``.
"""
import sys

import one_operation

if __name__ == '__main__':
    one_operation.at_a_time()
    threaded = sys.argv.pop(1) == 'True'
    from simple_tensorflow_serving import server  # reads sys.argv
    application = server.WsgiApp(server.args)
    application.app.before_first_request_funcs[:] = []
    application.manager.init()
    for service in application.manager.model_name_service_map.values():
        service.dynamically_reload_models()
    application.app.run(host=server.args.host, port=server.args.port, threaded=threaded)
