# Packages are built in one stage and copied to the next, which has neither compiler nor package manager cache.
FROM python:3.11-slim-bookworm AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/uv && /opt/uv/bin/pip install uv==0.13.8 && python -m venv --without-pip /opt/astrade/venv
COPY requirements.txt .
RUN /opt/uv/bin/uv pip install --no-cache --compile-bytecode --python /opt/astrade/venv/bin/python -r requirements.txt

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 10001 astrade && useradd --system --uid 10001 --gid astrade --no-create-home astrade
ENV PATH=/opt/astrade/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=astrade.settings.production \
    STATIC_ROOT=/opt/astrade/static
COPY --from=packages /opt/astrade/venv /opt/astrade/venv
WORKDIR /opt/astrade/app
COPY manage.py ./
COPY templates templates
COPY gamification gamification
COPY trading trading
COPY marketdata marketdata
COPY accounts accounts
COPY astrade astrade
# Collecting static files asks production's settings, which want names and a secret; these are forgotten with this step.
RUN python -m compileall -q . \
    && SECRET_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(64))')" \
       ENCRYPTION_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(32))')" \
       DATABASE_URL=postgresql://none/none REDIS_URL=redis://none ALLOWED_HOSTS=none \
       python manage.py collectstatic --no-input --verbosity 0
USER astrade
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
CMD ["uvicorn", "astrade.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", \
     "--no-proxy-headers", "--no-server-header", "--timeout-graceful-shutdown", "20", \
     "--ws", "astrade.core.sockets.server:DirectProtocol", "--ws-max-size", "1048576", "--ws-per-message-deflate", "false"]
