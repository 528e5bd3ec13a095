# An image that runs studies on NVIDIA GPUs: docs/how-to/container.md. Torch's wheel has the libraries of CUDA; the base
# image lets the driver of the machine in.
FROM nvidia/cuda:12.8.1-base-ubuntu24.04

# gcc is for torch.compile.
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-dev python3-venv gcc \
    && rm -rf /var/lib/apt/lists/*
ENV VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH
RUN python3 -m venv "$VIRTUAL_ENV"

# Packages change seldom, our code often: they are a layer of their own.
WORKDIR /opt/hf_peft_compare
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY hf_peft_compare/__init__.py hf_peft_compare/
RUN pip install --no-cache-dir -c constraints.txt ".[qlora]" && pip uninstall -y hf_peft_compare
COPY hf_peft_compare hf_peft_compare
RUN pip install --no-cache-dir --no-deps . && rm -rf /opt/hf_peft_compare

# Studies, runs and the cache of the hub are in the folder that is mounted here.
WORKDIR /work
ENV HF_HOME=/work/.cache/huggingface
ENTRYPOINT ["hf-peft-compare"]
CMD ["--help"]
