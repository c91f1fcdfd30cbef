# Workers: the same code with the trainers' libraries. torch comes with CUDA from its default wheel.
FROM python:3.12-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp tiebreak \
 && install -d -o tiebreak -g tiebreak /var/lib/tiebreak \
      /var/lib/tiebreak/data /var/lib/tiebreak/media /var/lib/tiebreak/static
WORKDIR /srv/tiebreak
COPY requirements requirements
RUN pip install -r requirements/web.txt -r requirements/ml.txt
COPY . .
# The trainers run isolated (python -I): they find our packages because they are installed.
RUN python -m tools.messages compile && pip install --no-deps --no-build-isolation -e .
ARG TIEBREAK_CODE_COMMIT=
ENV TIEBREAK_CODE_COMMIT=$TIEBREAK_CODE_COMMIT
USER 10001:10001
