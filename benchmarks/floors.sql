-- The floor of intake and of booking: one stored function each, with the rows that any engine writes.
CREATE TABLE floor_client (id int PRIMARY KEY);
CREATE TABLE floor_signal (
    id bigserial PRIMARY KEY, client_id int NOT NULL REFERENCES floor_client,
    key text NOT NULL, body jsonb NOT NULL, UNIQUE (client_id, key));
CREATE TABLE floor_position (id int PRIMARY KEY, quantity numeric NOT NULL, cost numeric NOT NULL);
CREATE TABLE floor_order (
    id bigserial PRIMARY KEY, signal_id bigint UNIQUE REFERENCES floor_signal,
    position_id int NOT NULL REFERENCES floor_position, status text NOT NULL,
    quantity numeric NOT NULL, filled numeric NOT NULL DEFAULT 0);
CREATE TABLE floor_fill (
    id bigserial PRIMARY KEY, order_id bigint NOT NULL REFERENCES floor_order,
    trade text NOT NULL UNIQUE, quantity numeric NOT NULL, price numeric NOT NULL);
CREATE TABLE floor_log (id bigserial PRIMARY KEY, order_id bigint NOT NULL REFERENCES floor_order, data jsonb NOT NULL);
INSERT INTO floor_client SELECT generate_series(0, 15);
INSERT INTO floor_position SELECT generate_series(0, 15), 0, 0;

CREATE FUNCTION intake_fn(client int, key text, body jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE signal bigint; made bigint;
BEGIN
    INSERT INTO floor_signal (client_id, key, body) VALUES (client, key, body) RETURNING id INTO signal;
    INSERT INTO floor_order (signal_id, position_id, status, quantity)
        VALUES (signal, client, 'PENDING', 10) RETURNING id INTO made;
    INSERT INTO floor_log (order_id, data) VALUES (made, body);
    RETURN made;
END $$;

CREATE FUNCTION fill_fn(wanted bigint, trade text, held int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM floor_order WHERE id = wanted FOR UPDATE;
    INSERT INTO floor_fill (order_id, trade, quantity, price) VALUES (wanted, trade, 1, 100.25);
    UPDATE floor_order SET filled = filled + 1, status = 'PARTIALLY_FILLED' WHERE id = wanted;
    UPDATE floor_position SET quantity = quantity + 1, cost = cost + 100.25 WHERE id = held;
    INSERT INTO floor_log (order_id, data) VALUES (wanted, '{"type": "fill", "quantity": "1", "price": "100.25"}');
END $$;
