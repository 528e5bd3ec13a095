"""`python -m hf_peft_compare` is `hf-peft-compare`, also under `accelerate launch -m`."""

import sys

from hf_peft_compare.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
