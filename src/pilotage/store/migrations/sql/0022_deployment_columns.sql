-- Never written: the first traffic is read from the records, and a confirmation is a vote of the gate's second half.
ALTER TABLE deployment
    DROP COLUMN first_traffic_at,
    DROP COLUMN confirmed_at,
    DROP COLUMN confirmed_by;
