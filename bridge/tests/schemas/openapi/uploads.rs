//! The calls of resumable uploads.

use courant_bridge::bodies::parameters;

use super::call::{Answer, Body, Call, Header, HeaderKind};

const VERSION: Header = Header {
    name: "Tus-Resumable",
    required: true,
    kind: HeaderKind::Exactly("1.0.0"),
    about: "The version of the protocol.",
};
const OFFSET: Header = Header {
    name: "Upload-Offset",
    required: true,
    kind: HeaderKind::AtLeast(0),
    about: "Where the body belongs, in bytes: what has arrived so far.",
};
const CREATE: &[Header] = &[
    VERSION,
    Header {
        name: "Upload-Length",
        required: true,
        kind: HeaderKind::AtLeast(1),
        about: "The size of the document in bytes.",
    },
    Header {
        name: "Upload-Metadata",
        required: false,
        kind: HeaderKind::Text,
        about: "Names, each with its value in base64, and commas between them: the names of a submission, `filename`, \
            `labels` and `password`.",
    },
];
const OVERRIDE: &[Header] = &[
    VERSION,
    Header {
        name: "X-HTTP-Method-Override",
        required: true,
        kind: HeaderKind::OneOf(&["PATCH", "HEAD", "DELETE"]),
        about: "The method that is meant.",
    },
];

pub const CALLS: &[Call] = &[
    Call::new(
        ("options", "/v1/uploads"),
        ("uploads", "getUploadOptions"),
        "Says what of tus 1.0.0 there is",
        Answer::UploadOptions,
    ),
    Call::new(
        ("post", "/v1/uploads"),
        ("uploads", "createUpload"),
        "Begins an upload, or finds it",
        Answer::Upload(201),
    )
    .headers(CREATE)
    .body(Body::MayBePiece)
    .refuses(&[403, 408, 409, 412, 413, 415, 422, 507]),
    Call::new(("head", "/v1/uploads/{id}"), ("uploads", "getUpload"), "Says how far an upload is", Answer::Upload(200))
        .query(&[parameters::OWNER])
        .headers(&[VERSION])
        .refuses(&[403, 404, 412, 422, 423]),
    Call::new(
        ("patch", "/v1/uploads/{id}"),
        ("uploads", "writeUpload"),
        "Sends more of an upload",
        Answer::Upload(204),
    )
    .query(&[parameters::OWNER])
    .headers(&[VERSION, OFFSET])
    .body(Body::Piece)
    .refuses(&[403, 404, 408, 409, 412, 413, 415, 422, 507]),
    Call::new(("delete", "/v1/uploads/{id}"), ("uploads", "deleteUpload"), "Gives up an upload", Answer::Empty)
        .query(&[parameters::OWNER])
        .headers(&[VERSION])
        .refuses(&[403, 404, 409, 412]),
    Call::new(
        ("post", "/v1/uploads/{id}"),
        ("uploads", "overrideUpload"),
        "Stands for another method, for those who can send no other",
        Answer::Upload(204),
    )
    .query(&[parameters::OWNER])
    .headers(OVERRIDE)
    .body(Body::MayBePiece)
    .refuses(&[403, 404, 405, 408, 409, 412, 413, 415, 422, 423, 507]),
];
