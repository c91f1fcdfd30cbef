# The web process and beat: Django without any deep-learning library, not as root.
FROM python:3.12-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1
WORKDIR /srv/tiebreak
COPY requirements/web.txt requirements/web.txt
RUN pip install -r requirements/web.txt
COPY . .
RUN python -m tools.messages compile
RUN useradd --system --create-home tiebreak && install -d -o tiebreak /var/lib/tiebreak
USER tiebreak
EXPOSE 8000
