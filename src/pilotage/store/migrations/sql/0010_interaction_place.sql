-- What gates, forecasts and pages ask of the traffic: one workflow in one space, over some days.
CREATE INDEX interaction_place ON interaction (workflow, space, at);
