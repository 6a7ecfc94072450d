import { useState } from "react";

export default function App() {
  const [count, setCount] = useState(0);
  return (
    <main>
      <h1>Hello from React</h1>
      <p>Change src/App.jsx: the page follows without a reload.</p>
      <button onClick={() => setCount(count + 1)}>Pressed {count} times</button>
    </main>
  );
}
