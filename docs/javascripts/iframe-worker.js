// Browsers start no worker for a page that is opened as a file. Search then runs in a hidden frame instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = Object.assign(document.createElement("iframe"), { hidden: true });
      document.body.append(frame);
      this.inside = frame.contentWindow;
      window.addEventListener("message", (event) => {
        if (event.source === this.inside) this.dispatchEvent(new MessageEvent("message", { data: event.data }));
      });
      const prelude = `
        postMessage = (data) => parent.postMessage(data, "*");
        importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise((resolve) => {
          const script = Object.assign(document.createElement("script"), { src: url, onload: resolve });
          document.body.append(script);
        })), Promise.resolve());`;
      this.inside.document.write(`<body><script>${prelude}</script><script src="${url}"></script></body>`);
      this.inside.document.close();
      this.ready = new Promise((resolve) => (this.inside.onload = resolve));
    }
    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data, source: parent })));
    }
  };
}
