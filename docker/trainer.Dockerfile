# Workers: the same code with the trainers' libraries. torch comes with CUDA from its default wheel.
FROM python:3.12-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1
WORKDIR /srv/tiebreak
COPY requirements requirements
RUN pip install -r requirements/web.txt -r requirements/ml.txt
COPY . .
RUN python -m tools.messages compile
# The trainers run isolated (python -I): they find our packages because they are installed.
RUN pip install --no-deps --no-build-isolation -e . \
 && useradd --system --create-home tiebreak && install -d -o tiebreak /var/lib/tiebreak
USER tiebreak
