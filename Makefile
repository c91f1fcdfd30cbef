# `make help` lists the commands. Each is sufficient alone on a fresh machine.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && exit; done; echo python3)
VENV := .venv/bin
# Compiled once: a test run starts some thousand processes, and its workers rewrite every assertion.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help set-up set-up-test run run-anime test test-fast lint format types test-faults test-faults-full soak bench bench-annotation bench-careless bench-posteriors bench-playback bench-truth bench-anime bench-ingest bench-export bench-active bench-reward bench-reward-speed bench-suite bench-starts bench-align demo-report messages docs secrets check-deploy stack backup screenshot migrate clean distclean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-16s %s\n", $$1, $$2}'

set-up: ## virtual environment and packages (the other commands do it by themselves)
	@$(PYTHON) tools/set_up.py run
set-up-test:
	@$(PYTHON) tools/set_up.py test

run: set-up ## the site with its demo campaign, a worker, and the whole loop; Ctrl-C stops it
	@exec $(VENV)/python manage.py demo

run-anime: set-up ## the same with the loop of the anime world: image-to-video, six dimensions, GAPO
	@exec $(VENV)/python manage.py demo --world anime

test: set-up-test ## all tests, on SQLite and on a PostgreSQL that the command starts
	@$(VENV)/python -m tools.run_tests

test-fast: set-up-test ## tests without browser, servers and killed processes
	@$(VENV)/python -m pytest -q -n auto --dist loadgroup -m "not gpu and not e2e and not faults and not redis"

lint: set-up-test ## style, import contracts, types, templates, missing migrations
	@$(VENV)/ruff check . && $(VENV)/ruff format --check .
	@$(VENV)/lint-imports
	@$(VENV)/mypy
	@$(VENV)/djlint --quiet --lint templates
	@$(VENV)/python manage.py makemigrations --check --dry-run

format: set-up-test ## rewrite the code in the house format
	@$(VENV)/ruff check --fix-only . ; $(VENV)/ruff format .

test-faults: set-up-test ## the tests that hold promises (docs/reliability.md) at reduced counts: processes are killed for some twenty minutes
	@TIEBREAK_FAULTS=reduced $(VENV)/python -m tools.run_tests --promises $(ARGS)
	@$(VENV)/python -m bench.reliability_tables

test-faults-full: set-up-test ## the same as much as each promise says, one test at a time (TIEBREAK_TEST_WORKERS=3 for more); figures go to docs/reliability.md
	@TIEBREAK_FAULTS=full TIEBREAK_TEST_WORKERS=$${TIEBREAK_TEST_WORKERS:-1} $(VENV)/python -m tools.run_tests --promises $(ARGS)
	@$(VENV)/python -m bench.reliability_tables
	@$(VENV)/python -m bench.tables

soak: set-up-test ## half an hour of voting, ingest and three trainings while everything is killed at random; ARGS="--minutes 5"
	@$(VENV)/python -m bench.soak --json docs/benchmarks/soak.json $(ARGS)
	@$(VENV)/python -m bench.reliability_tables

bench: bench-annotation bench-careless bench-playback bench-truth ## all benchmarks that fit a laptop; tables go to docs/benchmarks.md

bench-annotation: set-up-test ## votes under load and faults, dashboards, SQLite; ARGS="--peer label-studio --peer-venv DIR" measures the peer beside
	@$(VENV)/python -m bench.annotation --json docs/benchmarks/annotation.json $(ARGS)
	@$(VENV)/python -m bench.tables

bench-careless: set-up-test ## careless annotators found and honest ones accused, 20 seeds
	@$(VENV)/python -m bench.careless --json docs/benchmarks/careless.json
	@$(VENV)/python -m bench.tables

bench-posteriors: set-up-test ## soft labels of simulated campaigns: how often right and how sure, 20 seeds
	@$(VENV)/python -m bench.posteriors --json docs/benchmarks/posteriors.json
	@$(VENV)/python -m bench.tables

bench-playback: set-up-test ## how closely two clips are kept in step, in Chromium
	@$(VENV)/python -m bench.playback --json docs/benchmarks/playback.json
	@$(VENV)/python -m bench.tables

bench-truth: set-up-test ## how closely the measured truth of the demo world follows the known one
	@$(VENV)/python -m bench.truth --json docs/benchmarks/truth.json
	@$(VENV)/python -m bench.tables

bench-anime: set-up-test ## the anime loop on three seeds: true quality and true motion after GAPO
	@$(VENV)/python -m bench.anime_world --json docs/benchmarks/anime_world.json $(ARGS)
	@$(VENV)/python -m bench.tables

messages: set-up-test ## read the texts of the source into locale/, for translators
	@$(VENV)/python -m tools.messages update

bench-ingest: set-up-test ## clips per second of the media import, beside plain loops of ffmpeg
	@$(VENV)/python -m bench.ingest --json docs/benchmarks/ingest.json
	@$(VENV)/python -m bench.tables

bench-export: set-up-test ## 182,000 pairs to Parquet: seconds and peak memory, beside plain code
	@$(VENV)/python -m bench.export_size --json docs/benchmarks/export_size.json $(ARGS)
	@$(VENV)/python -m bench.tables

bench-active: set-up-test ## votes saved by choosing pairs, beside random ones, on worlds of the demo; ARGS="--backbone FOLDER" takes a pretrained base
	@$(VENV)/python -m bench.active_world --json docs/benchmarks/active_world.json --svg docs/benchmarks/active_world.svg $(ARGS)
	@$(VENV)/python -m bench.tables

bench-suite: set-up-test ## scoring of 946 prompts x 5 clips, and real clips against decoding alone; TIEBREAK_SHARED names the clips
	@$(VENV)/python -m bench.suite_scoring --json docs/benchmarks/suite_scoring.json $(ARGS)
	@$(VENV)/python -m bench.tables

bench-starts: set-up-test ## processor time to start and end a trainer and a worker, beside plain imports
	@$(VENV)/python -m bench.starts --json docs/benchmarks/starts.json $(ARGS)
	@$(VENV)/python -m bench.tables

bench-reward-speed: set-up-test ## seconds per pair and clip beside a plain loop; TIEBREAK_SHARED names the clips, ARGS="--peer-venv DIR --peer-code DIR" runs the released code
	@$(VENV)/python -m bench.reward_speed --json docs/benchmarks/reward_speed.json $(ARGS)
	@$(VENV)/python -m bench.tables

bench-reward: set-up-test ## reward models: what ten minutes teach on the demo world, what each part of the recipe is worth, speed
	@$(VENV)/python -m bench.reward_world --json docs/benchmarks/reward_world.json
	@$(VENV)/python -m bench.reward_ablation --json docs/benchmarks/reward_ablation.json
	@$(VENV)/python -m bench.reward_plot
	@$(VENV)/python -m bench.latent_reward --json docs/benchmarks/latent_reward.json
	@$(VENV)/python -m bench.reward_speed --json docs/benchmarks/reward_speed.json $(ARGS)
	@$(VENV)/python -m bench.tables

bench-align: set-up-test ## alignment: speed, memory, families, methods, guidance, the anime loop (hours); ARGS="--pairs RUN_DIR..." takes worlds that loops have made, ARGS="--only align_speed" a part
	@$(VENV)/python -m bench.align_all $(ARGS)

demo-report: set-up ## the figures of the newest report of the demo
	@$(VENV)/python manage.py demo_report

docs: set-up-test ## the docs site, into var/docs/site; a warning is an error
	@$(VENV)/python -m tools.docs_site

secrets: set-up ## random values for the secrets of .env
	@$(VENV)/python -m tools.new_secrets

check-deploy: set-up ## would production start with .env? ENV=FILE names another one
	@$(VENV)/python -m tools.check_deploy $(or $(ENV),.env)

stack: set-up-test ## the processes of docker-compose.yml natively, with production settings; Ctrl-C stops them
	@exec $(VENV)/python -m tools.stack

backup: set-up ## database and files into a backup; TO=FOLDER
	@$(VENV)/python manage.py backup $(or $(TO),backups)

screenshot: set-up-test ## the pictures of the README, from a running `make run`
	@$(VENV)/python -m tools.screenshots

clean: ## remove caches; keeps var/ (database, clips, models)
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build *.egg-info
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## also the virtual environment and everything the demo made
	@rm -rf .venv var
