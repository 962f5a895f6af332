-- The demo business: a small lender whose day follows the clock of Shanghai. Rows are made by business_catch_up(), which
-- the service `business` of docker-compose.yml calls every few seconds; the first call makes one hour of history.

CREATE TABLE registrations (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL, channel text NOT NULL);
CREATE TABLE orders (
    id bigserial PRIMARY KEY, created_at timestamptz NOT NULL, channel text NOT NULL, amount numeric(12, 2) NOT NULL
);
CREATE TABLE applications (
    id bigserial PRIMARY KEY, created_at timestamptz NOT NULL, channel text NOT NULL, passed boolean NOT NULL
);
CREATE TABLE repayments (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL, amount numeric(12, 2) NOT NULL);
CREATE INDEX ON registrations (created_at);
CREATE INDEX ON orders (created_at);
CREATE INDEX ON applications (created_at);
CREATE INDEX ON repayments (created_at);

-- How far the business has come.
CREATE TABLE progress (written_until timestamptz NOT NULL);
INSERT INTO progress VALUES (date_trunc('minute', now()) - interval '1 hour');

-- Share of the busiest minute, by local hour; week ends are quieter.
CREATE FUNCTION activity(at timestamptz) RETURNS double precision LANGUAGE sql STABLE AS $$
    SELECT (0.2 + 0.8 * greatest(0, sin(pi() * (extract(hour FROM local) + extract(minute FROM local) / 60 - 6) / 18)))
        * CASE WHEN extract(isodow FROM local) > 5 THEN 0.7 ELSE 1 END
    FROM (SELECT at AT TIME ZONE 'Asia/Shanghai' AS local) AS zoned
$$;

-- About `peak` things a minute at the busiest hour: their instants in the minute.
CREATE FUNCTION instants(minute timestamptz, peak double precision) RETURNS SETOF timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT minute + random() * interval '1 minute'
    FROM generate_series(1, greatest(0, round(
        peak * activity(minute)
        + sqrt(peak * activity(minute)) * (random() + random() + random() + random() - 2) * 1.7
    ))::int)
$$;

CREATE FUNCTION business_minute(minute timestamptz) RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO registrations (created_at, channel)
        SELECT at, (ARRAY['app', 'app', 'web', 'partner'])[1 + floor(random() * 4)::int] FROM instants(minute, 22) AS at;
    INSERT INTO orders (created_at, channel, amount)
        SELECT at, (ARRAY['app', 'app', 'app', 'web'])[1 + floor(random() * 4)::int], round((50 + random() * 900)::numeric, 2)
        FROM instants(minute, 46) AS at;
    INSERT INTO applications (created_at, channel, passed)
        SELECT at, (ARRAY['app', 'app', 'web', 'partner'])[1 + floor(random() * 4)::int], random() < 0.62
        FROM instants(minute, 60) AS at;
    INSERT INTO repayments (created_at, amount)
        SELECT at, round((100 + random() * 1200)::numeric, 2) FROM instants(minute, 20) AS at;
$$;

-- Writes every whole minute up to now, in one transaction; old rows go after thirty days.
CREATE FUNCTION business_catch_up() RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    minute timestamptz;
    minutes int := 0;
BEGIN
    SELECT written_until INTO minute FROM progress FOR UPDATE;
    WHILE minute + interval '1 minute' <= now() LOOP
        PERFORM business_minute(minute);
        minute := minute + interval '1 minute';
        minutes := minutes + 1;
    END LOOP;
    UPDATE progress SET written_until = minute;
    DELETE FROM registrations WHERE created_at < now() - interval '30 days';
    DELETE FROM orders WHERE created_at < now() - interval '30 days';
    DELETE FROM applications WHERE created_at < now() - interval '30 days';
    DELETE FROM repayments WHERE created_at < now() - interval '30 days';
    RETURN minutes;
END
$$;
