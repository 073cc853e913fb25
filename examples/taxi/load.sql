-- The two tables of the example, for psql in this folder: psql DATABASE -f load.sql
BEGIN;
CREATE TABLE zones (
  zone_id integer PRIMARY KEY,
  name text NOT NULL,
  district text NOT NULL,
  airport boolean NOT NULL
);
CREATE TABLE trips (
  trip_id bigint PRIMARY KEY,
  picked_up timestamptz NOT NULL,
  from_zone integer NOT NULL REFERENCES zones,
  to_zone integer NOT NULL REFERENCES zones,
  passengers smallint NOT NULL,
  distance_km numeric(6, 2) NOT NULL,
  minutes numeric(6, 1) NOT NULL
);
\copy zones FROM 'data/zones.csv' CSV HEADER
\copy trips FROM 'data/trips.csv' CSV HEADER
COMMIT;
