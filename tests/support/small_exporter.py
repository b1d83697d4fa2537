"""An exporter of the shape that od-patch knows, of a model with three variables: it exports in a second.

What od-patch does around an exporter can be asked of it, and what it declines: its source, with one thing changed,
is another exporter.

Not for: what the Object Detection API's exporter does; the other tests run that one.
"""
import os
import tempfile

from od_patch import _tensorflow

tf = _tensorflow.tf1()


class freeze_graph:  # pylint: disable=invalid-name
    """TensorFlow's module of that name, imported where it is called: 1.12's takes longer than all of an export."""

    @staticmethod
    def freeze_graph_with_def_protos(input_graph_def, input_saver_def, input_checkpoint, output_node_names,
                                     restore_op_name, filename_tensor_name, output_graph, clear_devices,
                                     initializer_nodes):
        from tensorflow.python.tools import freeze_graph as theirs
        return theirs.freeze_graph_with_def_protos(
            input_graph_def, input_saver_def, input_checkpoint, output_node_names, restore_op_name,
            filename_tensor_name, output_graph, clear_devices, initializer_nodes)


def build_detection_graph(input_type, detection_model, input_shape):
    """Makes the model in the current graph; returns (outputs by their keys, placeholder of the input)."""
    del input_type, input_shape
    width = detection_model
    image = tf.placeholder(tf.float32, [None, width], name='image_tensor')
    weights = tf.get_variable('layer/weights', [width, 2])
    shift = tf.get_variable('layer/shift', [2], trainable=False)
    tf.train.get_or_create_global_step()
    tf.square(weights, name='beside')  # which no output needs
    boxes = tf.add(tf.matmul(image, weights), shift, name='shifted')
    return {'detection_boxes': tf.identity(boxes, name='detection_boxes'),
            'detection_scores': tf.nn.sigmoid(boxes, name='detection_scores')}, image


def profile_inference_graph(graph):
    print('profile of {} variables'.format(len(graph.get_collection('variables'))))


def replace_variable_values_with_moving_averages(graph, current_checkpoint_file, new_checkpoint_file):
    with graph.as_default(), tf.Session() as session:
        averages = tf.train.ExponentialMovingAverage(0.0).variables_to_restore()
        tf.train.Saver(averages).restore(session, current_checkpoint_file)
        tf.train.Saver().save(session, new_checkpoint_file)


def write_graph_and_checkpoint(inference_graph_def, model_path, input_saver_def, trained_checkpoint_prefix):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(inference_graph_def, name='')
        saver = tf.train.Saver(saver_def=input_saver_def, save_relative_paths=True)
        saver.restore(session, trained_checkpoint_prefix)
        saver.save(session, model_path)


def write_saved_model(saved_model_path, frozen_graph_def, inputs, outputs):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(frozen_graph_def, name='')
        infos = [{key: tf.saved_model.utils.build_tensor_info(tensor) for key, tensor in tensors.items()}
                 for tensors in ({'inputs': inputs}, outputs)]
        builder = tf.saved_model.builder.SavedModelBuilder(saved_model_path)
        builder.add_meta_graph_and_variables(session, ['serve'], signature_def_map={
            'serving_default': tf.saved_model.signature_def_utils.build_signature_def(
                infos[0], infos[1], 'tensorflow/serving/predict')})
        builder.save()


def _export_inference_graph(input_type, detection_model, use_moving_averages, trained_checkpoint_prefix,
                            output_directory, additional_output_tensor_names=None, input_shape=None):
    os.makedirs(output_directory, exist_ok=True)
    outputs, placeholder = build_detection_graph(input_type, detection_model, input_shape)
    profile_inference_graph(tf.get_default_graph())
    names = list(outputs) + (additional_output_tensor_names or [])
    prefix = trained_checkpoint_prefix
    if use_moving_averages:
        prefix = os.path.join(tempfile.mkdtemp(), 'averaged')
        replace_variable_values_with_moving_averages(tf.get_default_graph(), trained_checkpoint_prefix, prefix)
    saver_def = tf.train.Saver().as_saver_def()
    graph_def = tf.get_default_graph().as_graph_def()
    write_graph_and_checkpoint(graph_def, os.path.join(output_directory, 'model.ckpt'), saver_def, prefix)
    frozen = freeze_graph.freeze_graph_with_def_protos(
        input_graph_def=graph_def, input_saver_def=saver_def, input_checkpoint=prefix,
        output_node_names=','.join(names), restore_op_name='save/restore_all', filename_tensor_name='save/Const:0',
        output_graph=os.path.join(output_directory, 'frozen_inference_graph.pb'), clear_devices=True,
        initializer_nodes='')
    write_saved_model(os.path.join(output_directory, 'saved_model'), frozen, placeholder, outputs)


def export_inference_graph(input_type, pipeline_config, trained_checkpoint_prefix, output_directory, input_shape=None,
                           additional_output_tensor_names=None):
    _export_inference_graph(
        input_type, 4, pipeline_config.eval_config.use_moving_averages, trained_checkpoint_prefix, output_directory,
        additional_output_tensor_names, input_shape)
    with open(os.path.join(output_directory, 'pipeline.config'), 'w') as config_file:
        config_file.write(str(pipeline_config))
