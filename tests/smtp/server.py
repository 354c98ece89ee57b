"""A real mail server (aiosmtpd) for the email sink's test: wants TLS and a login, and prints each mail as a line of JSON.

usage: server.py starttls|tls CERT KEY USER PASSWORD     prints its port first
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

MODE, CERT, KEY, USER, PASSWORD = sys.argv[1:]


class Printer:
    async def handle_DATA(self, server, session, envelope):
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "login": session.authenticated,
            "tls": session.ssl is not None or MODE == "tls",
            "data": envelope.content.decode("utf-8"),
        }
        print(json.dumps(mail), flush=True)
        return "250 queued"


def authenticator(server, session, envelope, mechanism, auth_data):
    good = (auth_data.login, auth_data.password) == (USER.encode(), PASSWORD.encode())
    # handled=False: the server answers 535 itself.
    return AuthResult(success=good, handled=False)


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERT, KEY)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    starttls = MODE == "starttls"

    def protocol():
        return SMTP(
            Printer(),
            tls_context=context if starttls else None,
            require_starttls=starttls,
            auth_required=True,
            # What came over TLS from the first byte is not seen as such by this library.
            auth_require_tls=starttls,
            authenticator=authenticator,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=None if starttls else context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
