"""Runs an export with a defect planted into what is staged, when all of it is written, as a failing disk would.

Run as ``python -m tests.proof.planting FLAGS DEFECT``, a function of ``defects``. It ends as the export does.
"""
import sys


def main():
    from od_patch import export_inference_graph
    from od_patch import proof
    from tests.proof import defects
    original = proof.staged

    def staged(export, *arguments):
        getattr(defects, sys.argv[-1])(export.staged_directory)
        return original(export, *arguments)
    proof.staged = staged
    sys.exit(export_inference_graph.main(sys.argv[:-1]))


if __name__ == '__main__':
    main()
