// Unit tests run with sockets refused, so that the core stays testable without one.
import net from 'node:net'

const refuse = (): never => {
  throw new Error('unit tests open no socket; move this test to test/integration')
}
net.Socket.prototype.connect = refuse
net.Server.prototype.listen = refuse
