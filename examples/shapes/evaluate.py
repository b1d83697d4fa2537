"""Measures a detector of shapes: mAP at IoU 0.5 on held-out drawings, by the OD API's own evaluator.

    PYTHONPATH=build/models/C python examples/shapes/evaluate.py --frozen_graph EXPORT/frozen_inference_graph.pb
    PYTHONPATH=build/models/C python examples/shapes/evaluate.py --saved_model EXPORT/saved_model

The drawings are made on the spot from seeds that training never saw. Comparing two exports with each other is not what
this is for: two models can have the same mAP and differ everywhere.
"""

import argparse
import json
import sys

import numpy as np

import detector
import drawings


def mean_average_precision(model, seeds):
    """Returns {'mAP@0.5': …, 'AP@0.5': {class name: …}, 'drawings': …} of a detector.Detector."""
    try:
        from object_detection.utils import object_detection_evaluation
    except ImportError as error:
        raise detector.ModelError(
            'the OD API, whose evaluator measures this, cannot be imported ({}). Make a copy of it and put that on '
            'PYTHONPATH: export PYTHONPATH=$(python tools/assemble_models.py C build/models/C)'.format(error))
    evaluator = object_detection_evaluation.PascalDetectionEvaluator(
        [{'id': class_id, 'name': name} for class_id, name in drawings.CLASSES.items()])
    for seed in seeds:
        drawing = drawings.draw(seed)
        pixels = drawing.image.width
        evaluator.add_single_ground_truth_image_info(str(seed), {
            'groundtruth_boxes': drawing.boxes * pixels,
            'groundtruth_classes': drawing.classes,
            'groundtruth_difficult': np.zeros(len(drawing.classes), bool),  # Left out, each drawing gets a warning.
        })
        boxes, scores, classes = model.detect(np.asarray(drawing.image))
        evaluator.add_single_detected_image_info(str(seed), {
            'detection_boxes': boxes * pixels,
            'detection_scores': scores,
            'detection_classes': classes,
        })
    metrics = evaluator.evaluate()
    by_class = {name: float(next(value for key, value in metrics.items() if key.endswith('AP@0.5IOU/' + name)))
                for name in drawings.CLASSES.values()}
    return {
        'mAP@0.5': float(metrics['PascalBoxes_Precision/mAP@0.5IOU']),
        'AP@0.5': by_class,
        'drawings': len(seeds),
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(description='mAP@0.5 of an exported shapes detector on held-out drawings.')
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument('--frozen_graph', metavar='PB')
    model.add_argument('--saved_model', metavar='FOLDER')
    parser.add_argument('--drawings', type=int, default=500)
    options = parser.parse_args(arguments)
    try:
        if options.frozen_graph:
            loaded = detector.Detector.from_frozen_graph(options.frozen_graph)
        else:
            loaded = detector.Detector.from_saved_model(options.saved_model)
        with loaded:
            result = mean_average_precision(
                loaded, range(drawings.HELD_OUT, drawings.HELD_OUT + options.drawings))
    except detector.ModelError as error:
        print('evaluate: {}'.format(error), file=sys.stderr)
        return 1
    print(json.dumps(result, indent=2, sort_keys=True))
    return 0


if __name__ == '__main__':
    sys.exit(main())
