# lts_jax on a processor: docker build -t lts-jax . && docker run --rm -v "$PWD/runs:/work/runs" lts-jax demo
FROM python:3.12-slim
WORKDIR /source
COPY . .
RUN pip install --no-cache-dir -c constraints/python3.12.txt ".[cpu]"
WORKDIR /work
ENTRYPOINT ["lts"]
CMD ["demo"]
