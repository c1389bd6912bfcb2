-- When the acceptance that closed a mitigation was found not to hold any more; null: it holds, or another thing closed it.
ALTER TABLE mitigation ADD COLUMN reopened_at timestamptz;
