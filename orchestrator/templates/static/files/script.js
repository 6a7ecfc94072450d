const answer = document.getElementById("answer");

document.getElementById("greet").addEventListener("click", () => {
  answer.textContent = `It is ${new Date().toLocaleTimeString()}.`;
});
