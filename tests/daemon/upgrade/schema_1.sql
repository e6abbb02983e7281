-- One row of every kind, as the program that had schema 1 wrote them. The hashes are those of the bytes.
INSERT INTO twins (id, name, definition, created, hold, processed, state) VALUES
    (3, 'zmumu', '{"name":"zmumu"}', 1000, 1, 6, '{"iteration":3,"last":{"first":4,"last":5}}'),
    (4, 'idle', '{"name":"idle"}', 2000, 0, 0, NULL);
INSERT INTO deleted_twins VALUES (2);
INSERT INTO blobs (id, sha256, put, bytes) VALUES
    (1, '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881', 1000, x'78'),
    (2, 'a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa', 1000, x'79'),
    (3, '594e519ae499312b29433b7dd8a97ff068defcba9755b6d5d00e84c524d67b06', 1000, x'7a');
INSERT INTO batches VALUES
    (3, 0, 'train', 1, 0, 100, 0, 1000, x'00000000000000000000000000000000', NULL),
    (3, 1, 'daq1', 1, 0, 100, 1, 1001, x'01000000000000000000000000000000', 1),
    (3, 2, 'daq1', 1, 1, 100, 2, 1002, x'02000000000000000000000000000000', 1),
    (3, 3, 'daq1', 1, 3, 100, 3, 1003, x'03000000000000000000000000000000', 2),
    (3, 4, 'daq2', 7, 0, 100, 4, 1004, x'04000000000000000000000000000000', 3),
    (3, 5, 'daq2', 7, 1, 100, 5, 1005, x'05000000000000000000000000000000', 3),
    (3, 6, 'daq2', 7, 2, 100, 6, 1006, x'06000000000000000000000000000000', NULL);
INSERT INTO versions VALUES
    (3, 1, NULL, 1000, 'train', 'retired', 'first', '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881', 'a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa', 9007199254740991, 0, 0, 'ref', '{"rows":100}'),
    (3, 2, 1, 2000, 'weights', 'champion', 'gain', 'a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa', '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881', 5, 3, 3, 'ref', NULL),
    (3, 3, 2, 3000, 'weights', 'rejected', 'no gain', '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881', NULL, 6, 4, 5, NULL, NULL);
INSERT INTO moves (move, twin, alias, version, time, actor, reason) VALUES
    (1, 3, 'champion', 1, 1000, 'operator', 'first'),
    (2, 3, 'reference', 1, 1000, 'operator', 'first'),
    (5, 3, 'champion', 2, 2000, 'loop', 'gain');
INSERT INTO iterations VALUES
    (3, 1, 1500, 1, 1, 2, 200, 0, 'none', '{"alarms":[]}', '[{"name":"ks","verdict":"drift","feature":"pt","value":0.25,"error":null,"floor":null,"p_value":0.5,"threshold":0.001}]'),
    (3, 2, 2000, 1, 3, 3, 100, 1, 'promoted', '{"alarms":["ks pt"]}', '[{"name":"ks","verdict":"drift","feature":"pt","value":0.75,"error":null,"floor":null,"p_value":0.0005,"threshold":0.001}]'),
    (3, 3, 3000, 2, 4, 5, 200, 0, 'rejected', NULL, '[]');
INSERT INTO operations (id, twin, kind, request, key, state, progress, created, finished, result, error) VALUES
    (1, 3, 'train', '{"epochs":3}', 'k1', 'succeeded', 1.0, 1000, 1400, '{"rows":100}', NULL),
    (4, 3, 'retune', '{"kind":"weights"}', NULL, 'queued', 0.0, 3500, NULL, NULL, NULL);
