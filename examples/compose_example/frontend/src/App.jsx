import { useEffect, useState } from "react";

async function call(options) {
  const response = await fetch("/api/items", options);
  const body = await response.json();
  if (!response.ok) throw new Error(body.error ?? response.statusText);
  return body;
}

export default function App() {
  const [items, setItems] = useState([]);
  const [name, setName] = useState("");
  const [status, setStatus] = useState("loading");

  useEffect(() => {
    call()
      .then((found) => {
        setItems(found);
        setStatus("ready");
      })
      .catch((error) => setStatus(error.message));
  }, []);

  async function add(event) {
    event.preventDefault();
    try {
      const item = await call({
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ name }),
      });
      setItems((before) => [...before, item]);
      setName("");
      setStatus("ready");
    } catch (error) {
      setStatus(error.message);
    }
  }

  return (
    <main>
      <h1>Items</h1>
      <form id="item-form" onSubmit={add}>
        <input
          id="item-name"
          aria-label="Name of the new item"
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <button id="item-add" type="submit">
          Add
        </button>
      </form>
      <ul id="items">
        {items.map((item) => (
          <li key={item._id}>{item.name}</li>
        ))}
      </ul>
      <p id="status">{status}</p>
    </main>
  );
}
